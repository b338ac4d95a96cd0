"""HTTP: routes, views, conditional and range answers, problems."""
