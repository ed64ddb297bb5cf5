"""A folium map as a two-way Gradio input, with no tile server and no CDN.

Leaflet is served from XStatic-Leaflet; the land is Natural Earth's 1:110m outline (public domain), from
countryinfo. The map is equirectangular, so that equal steps of latitude are equal on the page.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import folium
import gradio as gr
from branca.element import Element
from countryinfo import CountryInfo
from xstatic.pkg import leaflet

from g2pdiff.ui import static

LEAFLET = Path(leaflet.BASE_DIR).as_posix()
gr.set_static_paths([LEAFLET])
PARALLELS = (-60, -30, 0, 30, 60)
TITLE = "World map. Click to choose a place; the latitude and longitude fields do the same."
VIEW = [[-74, -180], [84, 180]]  # south-west, north-east


class OfflineMap(folium.Map):
    """A folium map that asks the app itself for Leaflet, by a path that survives another root."""

    default_js = [("leaflet", f"gradio_api/file={LEAFLET}/leaflet.js")]
    default_css = [("leaflet_css", f"gradio_api/file={LEAFLET}/leaflet.css")]


def land() -> dict:
    """Return the outlines of all countries as one GeoJSON geometry, to 0.01 degree (about 1 km)."""
    outlines = []
    for country in CountryInfo.all().values():
        for feature in country.get("geoJSON", {}).get("features", []):
            geometry = feature["geometry"]
            parts = geometry["coordinates"]
            outlines += parts if geometry["type"] == "MultiPolygon" else [parts]
    rounded = json.loads(json.dumps(outlines), parse_float=lambda number: round(float(number), 2))
    return {"type": "Feature", "properties": {}, "geometry": {"type": "MultiPolygon", "coordinates": rounded}}


def degrees(latitude: float) -> str:
    """Return the label of a parallel."""
    return f"{abs(latitude)}°{'N' if latitude > 0 else 'S' if latitude < 0 else ''}"


@cache
def page() -> tuple[str, str, str]:
    """Build the map's HTML and the names its script gives to the map and the pin. Built once."""
    world = OfflineMap(
        location=[5, 0],
        zoom_start=0,
        zoom_control="topright",
        max_zoom=6,
        tiles=None,
        crs="EPSG4326",
        zoom_snap=0,
        max_bounds=True,
        attribution_control=False,
    )
    folium.GeoJson(
        land(),
        smooth_factor=0.3,
        style_function=lambda _: {"className": "land", "weight": 0.6, "fillOpacity": 1, "interactive": False},
    ).add_to(world)
    for latitude in PARALLELS:
        weight = 1 if latitude else 1.8
        line = folium.PolyLine([(latitude, -180), (latitude, 180)], weight=weight, interactive=False)
        line.options["className"] = "parallel"
        line.add_to(world)
        label = folium.DivIcon(degrees(latitude), icon_size=(30, 14), icon_anchor=(-4, 14))
        label.options["className"] = "parallel-label"
        folium.Marker((latitude, -180), icon=label, interactive=False, keyboard=False).add_to(world)
    pin = folium.CircleMarker(
        (0, 0), radius=7, color="#ffffff", weight=2, fill=True, fill_color="#be123c", fill_opacity=1
    ).add_to(world)
    root: Any = world.get_root()  # a Figure, which branca types as any Element
    root.title = "World map"
    root.header.add_child(Element(f"<style>{static.text('css/map.css')}</style>"))
    return root.render(), world.get_name(), pin.get_name()


def locality_map(value: tuple[float, float], height: int, **options) -> gr.HTML:
    """Build a map whose value is `[latitude, longitude]`: a click fires `.input`, Python and JavaScript may
    set it.

    Args:
        value: where the pin stands at first.
        height: in pixels.
        options: further arguments of `gr.HTML`.
    """
    html, map_name, pin_name = page()
    return gr.HTML(
        list(value),
        html_template=f'<iframe title="{TITLE}" style="height:{height}px"></iframe>',
        js_on_load=static.text("js/map.js"),
        apply_default_css=False,
        page=html,
        map_name=map_name,
        pin_name=pin_name,
        view=VIEW,
        **options,
    )
