"""Reads and uses the dashboard as people do: eyes (screenshots), keyboard, a phone, a screen reader's tree.

usage: dashboard_browser.py URL SCREENSHOTS LOST BACK     makes the file LOST when a worker may be killed, BACK when one may join
"""

import json
import re
import sys
import threading
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

url, shots, lost, back = sys.argv[1:5]
problems = []


def check(what, holds, facts=""):
    print(f"  {'ok' if holds else 'FAILED'}: {what} {facts if not holds else ''}")
    if not holds:
        problems.append(what)


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def load(stop):
    """Somebody else's questions, so that there is something to see."""
    number = 0
    while not stop.is_set():
        number += 1
        text = f"Note {number % 7}: heron={number}. " + "It rained again. " * 40 + "heron="
        try:
            post("/v1/completions", {"prompt": text, "max_tokens": 24, "temperature": 0, "ignore_eos": True})
        except OSError:
            stop.wait(0.5)


def accessible(page, what):
    result = Axe().run(page)
    bad = [f"{v['id']}: {[n['html'][:120] for n in v['nodes']][:3]}" for v in result.response["violations"]]
    check(f"axe finds nothing to complain about: {what}", not bad, "\n".join(bad))


def fits(page, what):
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    check(f"nothing is wider than the screen: {what}", wide <= 0, wide)


with sync_playwright() as play:
    browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    context = browser.new_context(viewport={"width": 1360, "height": 900}, color_scheme="light")
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url + "/")
    expect(page.locator("#state")).to_have_text("ready")
    expect(page.locator(".worker[data-state=ready]")).to_have_count(4)
    check("two stages of two ranks", page.locator(".stage").count() == 2)

    page.keyboard.press("Tab")
    check("the keyboard's first stop is the skip link", page.evaluate("document.activeElement.className") == "skip")

    stop = threading.Event()
    threads = [threading.Thread(target=load, args=(stop,), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()

    # A long job, seen and cancelled.
    job = post("/v1/jobs", {"prompt": "It rained again. " * 3000, "max_tokens": 5})["id"]
    row = page.locator(f"tr[data-job={job}]")
    expect(row).to_be_visible(timeout=10_000)
    page.screenshot(path=f"{shots}/1-working.png", full_page=True)
    row.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(row).to_contain_text("cancelled", timeout=10_000)
    check("a job is cancelled by the keyboard", True)

    # A conversation, by keyboard alone.
    page.locator("#question").focus()
    page.keyboard.type("Note: heron=719. What is it? heron=")
    page.keyboard.press("Enter")
    answer = page.locator("#turns .assistant").last
    expect(answer).to_contain_text("719", timeout=30_000)
    expect(page.locator("#chat-note")).to_contain_text("tokens", timeout=60_000)
    check("the chat streams an answer and says how long it took", True)

    # The keyboard reaches everything.
    chart = page.locator(".chart svg").first
    chart.focus()
    page.keyboard.press("ArrowLeft")
    check("a chart is read with arrow keys", re.search(r"\d:\d\d", page.locator(".chart output").first.inner_text()) is not None)
    page.locator(".chart details").first.locator("summary").click()
    check("a chart is a table, too", page.locator(".chart tbody tr").count() > 1)
    page.locator(".chart details").first.locator("summary").click()
    page.locator("label[for=kv-reuses]").click()
    check("the KV map shows reuse", page.locator(".cells i").count() == 4 * 64)

    page.wait_for_timeout(15_000)  # a quarter minute of curves
    page.screenshot(path=f"{shots}/2-light.png", full_page=True)
    accessible(page, "light")
    fits(page, "wide")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=f"{shots}/3-dark.png", full_page=True)
    accessible(page, "dark")

    # A worker is killed while the page looks.
    open(lost, "w").close()
    gone = page.locator(".worker[data-worker=dot]")
    expect(gone).to_have_attribute("data-state", "bad", timeout=30_000)
    expect(page.locator("#state")).to_contain_text("waiting for 1", timeout=10_000)
    check("the news is there to be read out", "waiting" in page.locator("#news").inner_text())
    page.locator("#events summary").click()
    page.screenshot(path=f"{shots}/4-lost.png", full_page=True)
    accessible(page, "a worker is gone")
    open(back, "w").close()
    expect(page.locator("#state")).to_have_text("ready", timeout=30_000)
    expect(page.locator(".worker[data-worker=eve]")).to_have_attribute("data-state", "ready", timeout=10_000)
    check("another worker takes its place", True)

    # A phone, in both schemes.
    page.set_viewport_size({"width": 375, "height": 800})
    page.wait_for_timeout(2500)
    fits(page, "phone")
    page.screenshot(path=f"{shots}/5-phone-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.screenshot(path=f"{shots}/6-phone-light.png", full_page=True)
    accessible(page, "phone")
    small = page.evaluate(
        "[...document.querySelectorAll('button, nav a, summary')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).map(e => e.textContent)"
    )
    check("everything to touch is large enough", not small, small)

    stop.set()
    # The load that failed with the worker failed elsewhere; the page itself has nothing to complain about.
    check("no errors in the console, and no policy was broken", not complaints, complaints)
    browser.close()

sys.exit(1 if problems else 0)
