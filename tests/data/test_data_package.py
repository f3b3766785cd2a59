import jointmae_hf.data as data


def test_public_names_exist_and_are_sorted():
    assert all(hasattr(data, name) for name in data.__all__)
    assert len(set(data.__all__)) == len(data.__all__)
