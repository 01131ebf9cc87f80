"""Running under WSGI and ASGI servers, whatever their processes and threads.

    request → a worker's Relay → Unix socket → the holder (a keeper's child) runs daemon.run
    worker ─ pipe ─ keeper ─ socket pair ─ holder, or one who waits for the lock

`meeting` says where the processes of one deployment meet, `spawner` gives each worker a keeper,
`keeper` is that program, `relay` passes requests on. Rule to keep: workers and waiting keepers
import nothing heavy; only who has the lock imports the daemon.
"""
