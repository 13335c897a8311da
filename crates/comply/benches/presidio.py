"""The peer of personal.rs: Presidio's recognisers on a blank model, over the notes of a file. Notes and bytes a second of processor time.

cargo bench -p tapeloom-comply --bench personal -- /tmp/notes.txt && python3 crates/comply/benches/presidio.py /tmp/notes.txt
Needs `pip install presidio-analyzer==2.2.366`; downloads nothing.
"""

import sys
import time

import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine


class Blank(SpacyNlpEngine):
    """Tokens alone: names and places would need a model."""

    def __init__(self):
        super().__init__()
        self.nlp = {"en": spacy.blank("en")}

    def load(self):
        pass


notes = open(sys.argv[1], encoding="utf-8").read().split("\n")[:200]
engine = Blank()
registry = RecognizerRegistry()
registry.load_predefined_recognizers(nlp_engine=engine)
kinds = ["EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "CREDIT_CARD", "IP_ADDRESS"]
analyzer = AnalyzerEngine(nlp_engine=engine, registry=registry)
analyzer.analyze(text=notes[0], language="en", entities=kinds)
start = time.process_time()
found = sum(len(analyzer.analyze(text=note, language="en", entities=kinds)) for note in notes)
seconds = time.process_time() - start
size = sum(len(note.encode()) for note in notes)
print(f"presidio       {size / seconds / 1e6:.3f} MB/s, {len(notes) / seconds:.0f} notes/s, {found} found")
