return require("nginx.dns.resolver") -- Debian packs it under this name
