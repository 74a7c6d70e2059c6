"""What this process costs, as the kernel counts it."""

from edged.status.own_process import own_figures


def test_the_kernel_counts_something_of_this_process():
    figures = own_figures()
    assert figures["memory_bytes"] > 1_000_000
    assert figures["open_files"] >= 3
    assert figures["cpu_s"] > 0


def test_what_the_kernel_does_not_show_is_left_out(tmp_path):
    assert set(own_figures(tmp_path)) == {"cpu_s"}
