"""The storefront on a shop in memory: for page tests, and for `streamlit run` while working on the look."""

import streamlit as st

from serving.storefront.front import Premises
from serving.storefront.rooms import show
from serving.storefront.settings import StorefrontSettings
from tests.serving.storefront.fake_shop import FakeShop


def premises() -> Premises:
    """One a session: a test puts its own shop there."""
    state = st.session_state
    if "premises" not in state:
        state["premises"] = Premises.of(state["fake"] if "fake" in state else FakeShop(), StorefrontSettings())
    found = state["premises"]
    assert isinstance(found, Premises)
    return found


show(premises)
