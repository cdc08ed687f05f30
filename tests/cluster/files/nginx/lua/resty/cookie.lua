return require("nginx.cookie") -- Debian packs it under this name
