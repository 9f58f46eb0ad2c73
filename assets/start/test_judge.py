"""python3 -m unittest test_judge"""

import json
import pathlib
import subprocess
import sys
import unittest

from judge import judge


def completion(words):
    return {"completion": "word " * words + "</think> <answer> Mara"}


class Judged(unittest.TestCase):
    def test_values(self):
        self.assertEqual(judge([completion(10), completion(75), completion(500)]), [1.0, 0.5, 0.0])

    def test_every_line_is_answered(self):
        lines = [json.dumps({"id": number, **completion(number)}) for number in range(200)]
        program = pathlib.Path(__file__).with_name("judge.py")
        done = subprocess.run([sys.executable, program], input="\n".join(lines), capture_output=True, text=True, check=True)
        replies = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(sorted(reply["id"] for reply in replies), list(range(200)))
        self.assertTrue(all(0 <= reply["value"] <= 1 for reply in replies))


if __name__ == "__main__":
    unittest.main()
