"""What each desktop offers: prompts, notifications, browser, keyring, autostart."""
