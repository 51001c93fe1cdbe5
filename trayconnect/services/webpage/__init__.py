"""Pages with no Jupyter of ours behind them: direct addresses, and pages of forwards."""
