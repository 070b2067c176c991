"""The door: who is shopping? This is a demonstration, so nobody is asked for a password."""

from __future__ import annotations

import uuid
import zlib
from html import escape

import streamlit as st

from serving.storefront import markup
from serving.storefront.drawings import PALETTES
from serving.storefront.front import Premises
from serving.storefront.place import enter
from streams.contracts.events import Customer

READ, SHOWN = 100, 12


def login(premises: Premises) -> None:
    """Customers to choose from, a field for any other, and a button for a new one."""
    st.html(
        f'<div class="hw-door"><img src="{markup.MARK}" alt=""><h1>Who is shopping today?</h1>'
        "<p>Every click becomes an event on Kafka. A moment later the recommendations have changed.</p></div>"
    )
    with st.container(key="door", horizontal=True, horizontal_alignment="center", gap="small"):
        st.text_input(
            "Customer id",
            key="who",
            placeholder="Any customer id",
            label_visibility="collapsed",
            on_change=_typed,
            width=280,
        )
        st.button("Come in", key="enter", type="primary", on_click=_typed)
        st.button("I am new here", key="stranger", icon=":material/person_add:", on_click=_stranger)
    customers = premises.shop.customers(limit=READ).items
    told_of = sorted(customers, key=lambda each: -len(each.attributes))[:SHOWN]
    with st.container(key="customers"):
        for customer in told_of:
            with st.container(key=f"customer-{customer.customer_id}", gap=None):
                st.html(_face(customer))
                label = f"Shop as {customer.customer_id}"
                st.button(label, key=f"as-{customer.customer_id}", on_click=enter, args=(customer.customer_id,))


def _face(customer: Customer) -> str:
    palette = PALETTES[zlib.crc32(customer.customer_id.encode()) % len(PALETTES)]
    known = [markup.words(value) for value in customer.attributes.values() if value][:3]
    return (
        f'<div class="hw-person"><em style="background:{palette.low};color:{palette.dark}">'
        f"{escape(customer.customer_id[-2:].upper())}</em><div><b>Customer {escape(customer.customer_id)}</b>"
        f"<span>{escape(' · '.join(known) or 'Nothing known but what is bought')}</span></div></div>"
    )


def _typed() -> None:
    customer_id = str(st.session_state["who"]).strip()
    if customer_id:
        enter(customer_id)


def _stranger() -> None:
    enter(f"guest-{uuid.uuid4().hex[:8]}")
