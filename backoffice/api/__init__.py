"""The dashboard's figures and status as JSON, each answer with how complete it is."""
