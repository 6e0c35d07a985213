"""
Figures of a study
==================

Every figure is a method of the study and returns a figure of plotly: show it, change it, or write
it to a file. All figures come from the journal, so they also work for a study that has ended, was
killed or still runs.
"""

import math
import time

import ashtune


def train(trial):
    best, rate = 0.02 + 0.1 * trial["dropout"] ** 2, trial["rate"]
    speed = math.exp(-(math.log10(rate / 0.01) ** 2)) * trial["depth"] / 4
    for epoch in trial.epochs():
        time.sleep(0.003)  # a training that takes its time
        trial.report(
            loss=best + math.exp(-speed * epoch / 3) + 0.2 * max(0.0, math.log10(rate / 0.05))
        )


space = {"rate": (1e-4, 1.0, "log"), "depth": (1, 8), "dropout": (0.0, 0.8)}
study = ashtune.tune(
    train, space, metric="loss", mode="min", trials=120, max_resource=27, quiet=True
)
study.best

# %%
# Is the study getting better? The best result so far, over time; ``over="resource"``: over the
# epochs of all trials.

study.plot_best()

# %%
# How many trials reached each rung, how many were promoted, and how many were expected?

study.plot_ladder()

# %%
# Are the workers busy? Each row is a worker, each bar a job.

study.plot_timeline()

# %%
# The learning curves of the best trials and of a sample of the others, coloured by the rung they
# reached.

study.plot_curves()

# %%
# Which hyperparameter matters? A random forest over all trials measures it.

study.plot_importance()

# %%
# The result over one hyperparameter; by default over the most important one.

study.plot_slice("rate")

# %%
# The result over two hyperparameters, smoothed, at one rung. Parts without trials are blank.

study.plot_contour("rate", "depth")

# %%
# All hyperparameters of all trials at once. Drag along an axis to choose trials.

study.plot_parallel()

# %%
# How long would the same study take on more workers? The study is replayed in virtual time; nothing
# is trained.

study.whatif(workers=[1, 2, 4, 8]).plot()

# %%
# ``study.report_html("page.html")`` writes the live page as one file. ``study.plot_roofline()``
# draws what ``ashtune roofline --keep DIR`` measured, ``study.plot_profile()`` a study that ran
# with ``engine=ashtune.Auto(profile=True)``.
