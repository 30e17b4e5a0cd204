"""Teams, matches and live scores."""
