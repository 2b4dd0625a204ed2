"""Why does the model expect this patient's disease to progress, how sure is it, and is the reason to be believed?"""

from __future__ import annotations

from sklearn.datasets import load_diabetes

import pellucid as pld

frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
table = pld.read_table(frame, target="progression", types={"sex": "category"}).with_units(age="years", bmi="kg/m2")
model = pld.TabularRegressor(backbone="mlp", max_steps=200, random_state=0, verbose=0).fit(table)

patients = table.take(range(30))
reasons = model.explain(patients, method="shapley", random_state=0)
answers = model.uncertainty(patients, level=0.9)

print(f"expected {answers.point[0]:.0f}, between {answers.low[0]:.0f} and {answers.high[0]:.0f}")
for column, cell, value in reasons.top(3)[0]:
    print(f"  {column} = {cell}: {value:+.1f}")
for trial in pld.trial(reasons, model, patients, budget=20, random_state=0):
    print(f"  {trial.name}: {trial.verdict}")
