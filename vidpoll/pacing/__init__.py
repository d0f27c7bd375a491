"""When to ask: schedules, forecasts, rates and the limiter of an account. Pure arithmetic; nobody waits here."""
