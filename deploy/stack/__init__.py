"""The local stack: real parts on one machine, each started, waited for and stopped."""
