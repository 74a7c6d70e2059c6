"""The 26 defects of the official package (section 9.1 of its API reference), each shown to be none of ours.

One entry for each number; the tests themselves are in `defects/`, by what it takes to show them, and run from here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.interop.conftest import browser, open_page
from tests.sdk.defects import browser as in_browser
from tests.sdk.defects import media, service, sources
from tests.sdk.defects.room import Room, plain_room

DEFECTS = {
    1: [
        media.test_01_media_comes_back_after_a_drop_the_service_announces_at_once,
        media.test_01_media_comes_back_after_the_service_restarted_and_forgot_its_members,
    ],
    2: [media.test_02_replace_track_keeps_picture_and_sound_going],
    3: [media.test_03_a_camera_taken_away_and_added_again_sends],
    4: [media.test_04_lost_offers_and_answers_are_sent_again],
    5: [media.test_05_a_channel_opened_by_the_polite_side_survives_an_offer_of_media_only],
    6: [in_browser.test_06_a_lost_path_comes_back_to_a_browser_that_opened_a_channel_first],
    7: [media.test_07_tracks_added_and_messages_sent_by_handlers_of_the_first_members_arrive],
    8: [service.test_08_deeply_nested_json_costs_neither_the_connection_nor_a_descriptor],
    9: [sources.test_09_a_camera_that_does_not_answer_stops_nothing_else_and_is_given_up],
    10: [sources.test_10_a_camera_that_goes_and_comes_back_is_shown_again_on_the_same_track],
    11: [service.test_11_a_peer_with_nothing_to_exchange_is_idle_again_after_a_drop],
    12: [service.test_12_a_drop_during_join_leaves_a_peer_that_can_join_again],
    13: [media.test_13_a_removed_stream_is_announced_its_frames_end_and_it_may_come_again],
    14: [media.test_14_tracks_added_one_after_another_over_a_slow_link_are_no_error],
    15: [in_browser.test_15_a_browser_that_opens_a_channel_while_we_offer_media_does_not_offer_for_ever],
    16: [service.test_16_an_inactivity_timeout_of_0_switches_the_watchdog_off],
    17: [service.test_17_text_is_counted_and_sent_as_utf8],
    18: [service.test_18_a_raw_client_refuses_what_would_cost_its_connection],
    19: [service.test_19_a_peer_never_shows_joined_without_being_a_member],
    20: [media.test_20_the_end_of_the_ladder_is_an_error_of_its_own_and_not_the_end],
    21: [media.test_21_an_answer_whose_ack_is_slow_holds_up_nothing_behind_it],
    22: [media.test_22_offers_right_after_a_rebuild_are_answered],
    23: [
        in_browser.test_23_metadata_of_a_stream_that_a_browser_adds_again_is_found,
        in_browser.test_23_metadata_of_a_stream_that_a_browser_sends_in_a_section_of_ours_is_found,
    ],
    24: [service.test_24_once_can_be_taken_back_and_running_handlers_are_bounded],
    25: [service.test_25_a_token_provider_may_be_a_plain_function],
    26: [service.test_26_a_channel_that_refused_us_is_not_subscribed_again_after_a_reconnect],
}
__all__ = ["browser", "open_page"]

# pytest runs what a test file has under a name of its own.
globals().update({test.__name__: test for tests in DEFECTS.values() for test in tests})


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with plain_room() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def plain() -> AsyncIterator[Room]:
    """The same, for tests with a browser, which lives in the loop of the whole run."""
    async with plain_room() as running:
        yield running


def test_every_number_has_its_test_and_every_test_its_number() -> None:
    assert list(DEFECTS) == list(range(1, 27))
    for number, tests in DEFECTS.items():
        assert [test.__name__[:8] for test in tests] == [f"test_{number:02}_"] * len(tests)
    written = {name for module in (media, service, sources, in_browser) for name in vars(module) if "test_" in name[:5]}
    assert written == {test.__name__ for tests in DEFECTS.values() for test in tests}
