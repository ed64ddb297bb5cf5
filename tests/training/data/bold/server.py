"""A server on this machine that stands for BOLD, and exports whose addresses lead to it."""

import gzip
import io
import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image


def columns(text):
    """Return the names in a text, in their order."""
    return text.split()


COMBINED = columns(
    """
    processid sampleid recordID bin_uri phylum_name class_name order_name family_name subfamily_name
    genus_name species_name lat lon country markercode genbank_accession nucleotides image_ids
    image_urls media_descriptors captions copyright_holders copyright_years copyright_licenses
    copyright_institutions photographers
    """
)
BCDM = columns(
    """
    processid sampleid bin_uri kingdom phylum class order family subfamily genus species identification
    identification_rank coord country/ocean nuc marker_code insdc_acs
    """
)
BY_SA = "CreativeCommons - Attribution Share-Alike"


def jpeg(seed=0, size=48, kind="JPEG"):
    """Return a small animal on paper."""
    rng = np.random.default_rng(seed)
    pixels = np.full((size, size + 8, 3), rng.integers(180, 250, 3), np.uint8)
    pixels[10:-10, 10:-10] = rng.integers(0, 120, 3)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def combined_row(record, number, address="", **cells):
    """Return a line of the combined export; several pictures have `|` between their values."""
    return dict.fromkeys(COMBINED, " ") | {
        "processid": f"TEST{number:04}-20",
        "bin_uri": record["dna_bin"],
        "phylum_name": "Arthropoda",
        "class_name": "Insecta",
        "order_name": record["order"],
        "family_name": record["family"],
        "genus_name": record["genus"],
        "species_name": record["species"],
        "lat": f"{record['coord-lat']:.4f}",
        "lon": f"{record['coord-lon']:.4f}",
        "country": "Costa Rica",
        "markercode": "COI-5P",
        "nucleotides": record["dna_barcode"].replace("N", "-"),
        "image_urls": address,
        "media_descriptors": "Dorsal" if address else "",
        "copyright_holders": "Ana Müller" if address else "",
        "copyright_years": "2014" if address else "",
        "copyright_licenses": BY_SA if address else "",
        **cells,
    }


def bcdm_row(record, number, **cells):
    """Return a line of the BCDM export, which names no picture."""
    return dict.fromkeys(BCDM, "None") | {
        "processid": f"TEST{number:04}-20",
        "bin_uri": record["dna_bin"],
        "order": record["order"],
        "family": record["family"],
        "genus": record["genus"],
        "species": record["species"],
        "coord": f"[{record['coord-lat']:.4f}, {record['coord-lon']:.4f}]",
        "country/ocean": "Peru",
        "nuc": record["dna_barcode"],
        "marker_code": "COI-5P",
        **cells,
    }


def write_tsv(path, rows, encoding="utf-8"):
    lines = ["\t".join(rows[0])] + ["\t".join(map(str, row.values())) for row in rows]
    content = "\n".join([*lines, ""]).encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


class Server:
    """Answers by path: `replies[path]` is bytes, or a function of the handler. Requests are counted."""

    def __init__(self):
        self.replies, self.asked, self.agents = {}, Counter(), set()
        self.listed = {}  # by process id, what the picture service answers
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked[self.path] += 1
                server.agents.add(self.headers["User-Agent"])
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler):
        parts = urlsplit(handler.path)
        if parts.path == "/api/images":
            names = parse_qs(parts.query)["processids"][0].split(",")
            found = [item for name in names for item in self.listed.get(name, [])]
            return send(handler, json.dumps(found).encode(), kind="application/json")
        reply = self.replies.get(parts.path)
        if reply is None:
            return send(handler, b"<html>gone</html>", 404, "text/html")
        return send(handler, reply) if isinstance(reply, bytes) else reply(handler)


def send(handler, content, status=200, kind="image/jpeg", length=None, **headers):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def serving():
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
