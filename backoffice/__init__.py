"""The back office: settings, the command line, the processes, and the dashboard that shows the figures."""
