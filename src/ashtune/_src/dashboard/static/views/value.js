// The choice of the objective that a figure shows, for a study with several objectives.

import { keep, kept } from "../page/address.js";
import { element, fillOptions } from "../page/dom.js";

/** @param id Id of the section. @param changed Called after a change. */
export function valueChoice(study, id, changed) {
  const name = `${id}-value`;
  const onchange = () => {
    keep({ [name]: select.value });
    changed();
  };
  const select = element("select", { id: name, onchange });
  const place = element("p.choice.asks", { hidden: true }, element("label", { for: name }, "metric "), select);
  study.on(["head"], ({ head }) => {
    const options = head.objectives.map(({ metric }) => metric);
    fillOptions(select, options, select.value || kept(name));
    place.hidden = options.length < 2;
  });
  return { element: place, parameters: () => (select.selectedIndex > 0 ? [["metric", select.value]] : []) };
}
