"""When to poll: schedules, forecasts, rates and the limiter of an account. Pure arithmetic; nothing here waits."""
