"""The endpoints as tools of an MCP server, called by a real client over loopback."""

import asyncio

import pytest

from g2pdiff.ui.app import LAUNCH, build
from g2pdiff.ui.launch import read_flags
from tests.tiny import BARCODE

NAMES = ["generate", "mutations", "compare", "latitude", "batch"]


def test_without_the_package_the_flag_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", {}.get)  # finds nothing
    assert read_flags([]) == {}
    with pytest.raises(SystemExit, match=r"^--mcp needs .* \"gradio\[mcp\]\"\.$"):
        read_flags(["--mcp"])


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    pytest.importorskip("mcp")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("G2PDIFF_CHECKPOINT", str(checkpoint))
        environment.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        page = build()
        flags = read_flags(["--mcp"])
        page.launch(**LAUNCH, **flags, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield f"{page.local_url}gradio_api/mcp/"
    page.close()


def in_session(address, use):
    """Return what `use` returns of a session with the server."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def connect():
        async with streamablehttp_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await use(session)

    return asyncio.run(connect())


def test_the_tools_are_the_named_endpoints_with_every_argument_described(address):
    tools = in_session(address, lambda session: session.list_tools()).tools
    assert [tool.name for tool in tools] == NAMES
    for tool in tools:
        assert tool.description and tool.inputSchema["required"]
        assert all(argument["description"] for argument in tool.inputSchema["properties"].values())


def test_a_tool_draws_and_bad_input_is_one_sentence(address):
    async def progress(done, total, message):
        """Return the asking for progress makes Gradio hand over each output by itself."""

    async def use(session):
        place = {"latitude": 1, "longitude": 2, "steps": 1}
        drawn = await session.call_tool("generate", {"barcode": BARCODE} | place, progress_callback=progress)
        return drawn, await session.call_tool("generate", {"barcode": "ACGT"} | place)

    drawn, refused = in_session(address, use)
    assert not drawn.isError
    assert [part.type for part in drawn.content] == ["image", "text", "text"]
    assert "clibd_score" in drawn.content[2].text
    assert refused.isError
    assert refused.content[0].text.startswith("The barcode is too short")
