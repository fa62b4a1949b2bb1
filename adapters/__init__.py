"""Sources and sinks: LSL, MQTT, files, the simulator, the console. Found through entry points."""
