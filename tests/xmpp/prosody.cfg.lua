-- Prosody for the tests: loopback only, no federation, no user of its own. @DIR@, @START@ and @DIRECT@ are filled in.
run_as_root = true
use_libunbound = false
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
admin_socket = "@DIR@/prosody.sock"
-- An empty folder: in one with several certificates of the domain Prosody takes any of them.
certificates = "@DIR@/home"
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = { @START@ }
c2s_direct_tls_ports = { @DIRECT@ }
s2s_ports = {}; http_ports = {}; https_ports = {}; component_ports = {}
modules_disabled = { "s2s", "http"@DISABLED@ }
modules_enabled = {
  "disco", "roster", "saslauth", "tls", "posix", "ping", "carbons", "smacks", "blocklist", "private", "offline"@ENABLED@
}
c2s_require_encryption = @REQUIRE@
authentication = "internal_hashed"
storage = "internal"
log = { { levels = { min = "debug" }, to = "file", filename = "@DIR@/prosody.log" } }
c2s_direct_tls_ssl = { key = "@DIR@/certs/server.key", certificate = "@DIR@/certs/server.crt" }
ssl = { key = "@DIR@/certs/server.key", certificate = "@DIR@/certs/server.crt" }
VirtualHost "xmpp.test"
