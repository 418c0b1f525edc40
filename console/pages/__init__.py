"""The pages: each builds its parts once and shows them anew whenever the store changed."""
