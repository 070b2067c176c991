"""What Streamlit runs at every click: `streamlit run serving/storefront/app.py`."""

import streamlit as st

from serving.rest_client import HeadwaterClient
from serving.storefront.front import Premises
from serving.storefront.rooms import show
from serving.storefront.settings import StorefrontSettings


@st.cache_resource(show_spinner=False)
def premises() -> Premises:
    """Once a process."""
    settings = StorefrontSettings()
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    client = HeadwaterClient(settings.gateway, key, attempts=2, timeout_s=5.0, patience_s=2.0)
    return Premises.of(client, settings)


show(premises)
