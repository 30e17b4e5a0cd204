import io
import json
import logging
import unittest

import structlog

from reach import logs


class Format(unittest.TestCase):
    def setUp(self):
        logs.configure("info")
        self.addCleanup(logging.getLogger().handlers.clear)
        self.written = io.StringIO()
        logging.getLogger().handlers[0].setStream(self.written)

    def line(self):
        [line] = self.written.getvalue().splitlines()
        return json.loads(line)

    def test_a_line_holds_what_happened_and_the_given_fields(self):
        structlog.stdlib.get_logger("reach.test").warning("happened", port=1)
        line = self.line()
        self.assertEqual(list(line), ["timestamp", "level", "logger", "event", "port"])
        self.assertRegex(line.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(line, {"level": "warning", "logger": "reach.test", "event": "happened", "port": 1})

    def test_a_library_is_logged_in_the_same_shape(self):
        logging.getLogger("asyncio").warning("took %s", 1)
        line = self.line()
        self.assertEqual([line.pop("level"), line.pop("logger"), line.pop("event")], ["warning", "asyncio", "took 1"])
        self.assertEqual(list(line), ["timestamp"])

    def test_a_line_stays_one_line(self):
        structlog.stdlib.get_logger("reach.test").info("a\nb")
        self.assertEqual(self.line()["event"], "a\nb")

    def test_an_error_is_told_by_kind_and_place_only(self):
        for logger in (structlog.stdlib.get_logger("reach.test"), logging.getLogger("asyncio")):
            with self.subTest(logger):
                self.written.truncate(self.written.seek(0))
                try:
                    int("hunter2")
                except ValueError:
                    logger.exception("failed")
                line = self.line()
                self.assertEqual(line["error"], "ValueError")
                self.assertRegex(line["stack"][0], r"test_logs\.py:\d+ test_an_error")
                self.assertNotIn("hunter2", self.written.getvalue())
