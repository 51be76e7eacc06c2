#!/bin/sh
# The user that the server runs as, who alone reads what lies beside the configuration.
set -e
if ! getent passwd oakum >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/oakum --no-create-home --shell /usr/sbin/nologin oakum
fi
chown root:oakum /etc/oakum.d
# Who has another file has removed this one, and an upgrade does not bring it back.
if [ -e /etc/oakum.d/oakum.hcl ]; then
	chown root:oakum /etc/oakum.d/oakum.hcl
fi
chmod 0750 /etc/oakum.d
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
