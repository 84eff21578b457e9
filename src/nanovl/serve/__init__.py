"""HTTP: an OpenAI-compatible server on the engine's front door, and the web page."""
