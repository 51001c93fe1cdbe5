"""The desktop: browser, clipboard, editor, keyring, terminals."""
