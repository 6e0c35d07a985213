"""
A search of scikit-learn
========================

``AshSearchCV`` replaces ``HalvingRandomSearchCV`` or ``RandomizedSearchCV``. A promoted candidate
keeps its trees and adds more, and no fit waits for others.
"""

from scipy.stats import loguniform, randint
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import train_test_split

from ashtune.integrations.scikit_learn import AshSearchCV

X, X_test, y, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)

search = AshSearchCV(
    GradientBoostingClassifier(random_state=0),
    {
        "learning_rate": loguniform(1e-3, 1.0),
        "max_depth": randint(1, 6),
        "subsample": [0.5, 0.75, 1.0],
    },
    resource="n_estimators",
    max_resources=27,
    n_candidates=24,
    cv=3,
    random_state=0,
)
search.fit(X, y)
print(search.best_params_)
print(
    f"cross-validated {search.best_score_:.3f}, on data it has not seen "
    f"{search.score(X_test, y_test):.3f}"
)

# %%
# How many candidates came to each number of trees:

print(dict(zip(search.n_resources_, search.n_candidates_, strict=True)))

# %%
# The result of the search is an ordinary study:

search.study_.report()

# %%

search.study_.plot_importance()
