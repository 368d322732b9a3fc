"""Clients that never rest."""

import threading


class Load:
    """Clients that ask without a pause, each request counted."""

    def __init__(self, get, clients=4):
        self.get = get
        self.answered = 0
        self.failures = []
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]

    def ask(self):
        while not self.over.is_set():
            try:
                status = self.get("/").status
            except (OSError, AssertionError) as error:  # not even half of an answer
                status = repr(error)
            with self.lock:
                self.answered += 1
                if status != 200:
                    self.failures.append(status)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
