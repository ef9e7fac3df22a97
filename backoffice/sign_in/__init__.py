"""Who may see and do what: accounts, sessions, roles, and the gate that asks for them."""
