"""The web page over the local store: fleet, alerts, devices, models, gateway, and the demo's truth.

    store.db, labels.db, shelves ─▶ watch ─▶ views (pure) ─▶ pages ─▶ browser, by push

It only reads what the gateway writes; what operators say goes to a file of its own, :mod:`console.labels`.
"""
