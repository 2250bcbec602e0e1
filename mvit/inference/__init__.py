"""Running a trained model: deadlines, baselines, number formats, explanations."""
