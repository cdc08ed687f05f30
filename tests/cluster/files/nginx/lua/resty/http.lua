-- Debian has no lua-resty-http; only external authentication would use it.
return { new = function() return nil, "not available" end }
