#!/bin/sh
# The user that the server runs as, who alone reads what lies beside the configuration.
set -e
if ! getent passwd oakum >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/oakum --no-create-home --shell /usr/sbin/nologin oakum
fi
chown root:oakum /etc/oakum.d /etc/oakum.d/oakum.hcl
chmod 0750 /etc/oakum.d
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
