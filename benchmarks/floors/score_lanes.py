"""The least that sending scores costs: 32 lanes, a token that is there, nothing stored. `score_lanes.py asyncio|httpx2`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import uvloop
from actors import Browser
from steps import obey

LANES = 32
MEDIA_TYPE = "application/vnd.ims.lis.v1.score+json"

Post = Callable[[str, dict[str, Any]], Awaitable[int]]


async def send(order: dict[str, Any], posts: list[Post]) -> int:
    """Each lane takes the next score as soon as it is free. Answers how many were taken."""
    waiting, taken = iter(order["scores"]), 0

    async def lane(post: Post) -> None:
        nonlocal taken
        for score in waiting:
            taken += await post(order["scores_url"], score) == 200

    async with asyncio.TaskGroup() as group:
        for post in posts:
            group.create_task(lane(post))
    return taken


async def by_asyncio(order: dict[str, Any]) -> int:
    browsers = [Browser() for _ in range(LANES)]

    def post_of(browser: Browser) -> Post:
        async def post(url: str, score: dict[str, Any]) -> int:
            return (await browser.call("POST", url, score)).status

        return post

    try:
        return await send(order, [post_of(browser) for browser in browsers])
    finally:
        for browser in browsers:
            browser.close()


async def by_httpx2(order: dict[str, Any]) -> int:
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer token", "Content-Type": MEDIA_TYPE}) as client:

        async def post(url: str, score: dict[str, Any]) -> int:
            return (await client.post(url, json=score)).status_code

        return await send(order, [post] * LANES)


lanes = {"asyncio": by_asyncio, "httpx2": by_httpx2}[sys.argv[1]]
obey(lambda order: uvloop.run(lanes(order)))
