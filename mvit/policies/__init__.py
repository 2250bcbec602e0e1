"""When to stop: rules, plans, budgets, doubts."""
