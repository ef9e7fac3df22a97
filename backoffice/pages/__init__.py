"""The dashboard's pages, one a module. Everything chosen lives in the URL; every page says how complete it is."""
