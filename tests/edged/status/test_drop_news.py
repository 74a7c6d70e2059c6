"""What the log is told of drops: at once, then hourly, and only what is new."""

from edged.status.document import Account
from edged.status.drop_news import DropNews


def account(earlier=0, **dropped):
    total = dropped | ({"expired": dropped.get("expired", 0) + earlier} if earlier else {})
    return Account(1000 + sum(total.values()), 990, 10, total, dropped)


def test_nothing_dropped_is_no_news():
    news = DropNews()
    assert news.line(None, 0.0) is None
    assert news.line(account(), 1.0) is None


def test_what_an_earlier_life_dropped_is_no_news():
    news = DropNews()
    assert news.line(account(), 0.0) is None
    assert news.line(account(earlier=5), 10.0) is None  # known only once the outbox file is open
    assert news.line(account(earlier=5, expired=1), 20.0) == (
        "dropped since the last such line: expired 1; in all received 1,006 = delivered 990 + waiting 10 + dropped 6"
    )


def test_what_was_dropped_before_the_first_look_is_told():
    assert DropNews().line(account(no_route=1), 0.0) is not None


def test_the_first_drop_is_told_at_once_and_the_next_within_the_hour():
    news = DropNews()
    news.line(account(), 0.0)
    assert news.line(account(expired=2), 10.0) == (
        "dropped since the last such line: expired 2; in all received 1,002 = delivered 990 + waiting 10 + dropped 2"
    )
    assert news.line(account(expired=3), 3609.0) is None
    line = news.line(account(expired=3, no_route=4), 3610.0)
    assert line is not None
    assert line.startswith("dropped since the last such line: expired 1, no_route 4;")
    assert news.line(account(expired=3, no_route=4), 9000.0) is None
