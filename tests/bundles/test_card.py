"""What a card says of the pictures behind its figures."""

from mvit.bundles.card import measured_on


def test_only_the_published_split_of_a_built_in_task_is_called_official():
    built_in = {"task": {"name": "cifar10"}}
    assert measured_on(built_in, "CIFAR-10") == "the official CIFAR-10 test split"
    assert measured_on({"task": {"name": "pets"}}, "pets") == "its own pets test split"
    sample = {"task": {"name": "cifar10"}, "test_part": {"words": "a sample"}}
    assert measured_on(sample, "CIFAR-10") == "a sample (CIFAR-10)"
