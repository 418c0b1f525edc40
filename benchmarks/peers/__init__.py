"""The same input through what users would otherwise take: MQTT in, one derived value a window, line protocol out."""
