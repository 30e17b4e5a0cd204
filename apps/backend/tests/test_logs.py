import json
import logging
import sys
import unittest

from reach.logs import JsonFormatter


def formatted(**attributes):
    record = logging.LogRecord("reach.test", logging.WARNING, __file__, 1, "happened", None, attributes.pop("exc", None))
    record.__dict__.update(attributes)
    return json.loads(JsonFormatter().format(record))


class Format(unittest.TestCase):
    def test_a_line_holds_what_happened_and_the_given_fields(self):
        line = formatted(fields={"port": 1})
        self.assertRegex(line.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(line, {"level": "warning", "logger": "reach.test", "event": "happened", "port": 1})

    def test_a_line_stays_one_line(self):
        record = logging.LogRecord("reach.test", logging.INFO, __file__, 1, "a\nb", None, None)
        self.assertNotIn("\n", JsonFormatter().format(record))

    def test_an_error_is_told_by_kind_and_place_only(self):
        try:
            int("hunter2")
        except ValueError:
            line = formatted(exc=sys.exc_info())
        self.assertEqual(line["error"], "ValueError")
        self.assertRegex(line["stack"][0], r"test_logs\.py:\d+ test_an_error")
        self.assertNotIn("hunter2", json.dumps(line))
