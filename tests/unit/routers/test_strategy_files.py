"""The routes of uploaded strategy files."""

from tests.unit.routers.memory_service import Api

SOURCE = "class Breakout: ...\n"
FILES = "/strategy-files"


async def test_a_file_from_its_first_version_to_its_end(api: Api) -> None:
    versions = f"{FILES}/breakout.py/versions"
    made = await api.send("POST", versions, {"source": SOURCE, "comment": "first", "replaces": 0}, 201)
    assert (made["version"], made["uploaded_by"], made["classes"]) == (1, "admin-key", ["Breakout"])
    assert "source" not in made
    await api.send("POST", versions, {"source": SOURCE + "x = 1\n"}, 201)
    assert (await api.send("POST", versions, {"source": SOURCE, "replaces": 1}, 409))["code"] == "changed_meanwhile"
    assert (await api.get(f"{FILES}/breakout.py"))["source"] == SOURCE + "x = 1\n"
    assert (await api.get(f"{versions}/1"))["source"] == SOURCE
    assert "+x = 1" in (await api.get(f"{FILES}/breakout.py/diff"))["diff"]
    first = await api.get(f"{FILES}/breakout.py/diff", from_version=0, to_version=1)
    assert (first["from_version"], first["to_version"], "+x = 1" in first["diff"]) == (0, 1, False)
    back = await api.send("POST", f"{FILES}/breakout.py/rollback", {"version": 1}, 201)
    assert (back["version"], back["restores"]) == (3, 1)
    gone = await api.send("DELETE", f"{FILES}/breakout.py")
    assert (gone["version"], gone["deleted"]) == (4, True)
    await api.get(f"{FILES}/breakout.py", expect=404)
    assert (await api.get(FILES))["strategy_files"] == []
    assert len((await api.get(versions))["versions"]) == 4


async def test_lists_are_paged(api: Api) -> None:
    for name in ("b.py", "a.py", "c.py"):
        source = f"class Of{name[0].upper()}: ...\n"
        await api.send("POST", f"{FILES}/{name}/versions", {"source": source}, 201)
    await api.send("POST", f"{FILES}/a.py/versions", {"source": "class OfA: pass\n"}, 201)
    for path, key, expected in (
        (FILES, "strategy_files", ["a.py 2", "b.py 1", "c.py 1"]),
        (f"{FILES}/a.py/versions", "versions", ["a.py 2", "a.py 1"]),
    ):
        found: list[list[str]] = []
        cursor: dict[str, str] = {}
        while len(found) <= len(expected):
            page = await api.get(path, limit=1, **cursor)
            found.append([f"{one['file_name']} {one['version']}" for one in page[key]])
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == [[one] for one in expected]


async def test_what_is_refused_says_why(api: Api) -> None:
    wrong = await api.send("POST", f"{FILES}/a.py/versions", {"source": "class A"}, 422)
    assert (wrong["code"], wrong["errors"][0]["field"]) == ("syntax_error", "source")
    control = {"source": SOURCE, "comment": "a\nb"}
    assert (await api.send("POST", f"{FILES}/a.py/versions", control, 422))["code"] == "invalid"
    for name in ("a.txt", "..%2Fa.py", "a%2Fb.py", "1.py"):
        refused = await api.http.post(f"{FILES}/{name}/versions", json={"source": SOURCE})
        assert refused.status_code in (404, 422), name
    await api.get(f"{FILES}/nobody.py/versions", expect=404)
    await api.get(f"{FILES}/nobody.py/versions/1", expect=404)
    await api.send("POST", f"{FILES}/nobody.py/rollback", {"version": 1}, 404)


async def test_it_takes_an_admin_to_upload_and_a_trader_to_read(api: Api) -> None:
    document = (await api.http.get("http://core/openapi.json")).json()["paths"]
    required = {
        f"{method} {path.rpartition('strategy-files')[2]}": operation["x-required-scopes"]
        for path, operations in document.items() if "/strategy-files" in path
        for method, operation in operations.items()
    }  # fmt: skip
    assert len(required) == 8
    for operation, scopes in required.items():
        assert scopes == (["admin", "strategy:write"] if operation.startswith("get") else ["admin"]), operation
