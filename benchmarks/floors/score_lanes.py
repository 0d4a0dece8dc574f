"""The least that sending scores costs: 32 lanes, a token that is there, nothing stored. `score_lanes.py asyncio|aiohttp`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
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


async def by_aiohttp(order: dict[str, Any]) -> int:
    headers = {"Authorization": "Bearer token", "Content-Type": MEDIA_TYPE}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(url: str, score: dict[str, Any]) -> int:
            async with session.post(url, json=score) as answer:
                await answer.read()
                return answer.status

        return await send(order, [post] * LANES)


lanes = {"asyncio": by_asyncio, "aiohttp": by_aiohttp}[sys.argv[1]]
obey(lambda order: uvloop.run(lanes(order)))
