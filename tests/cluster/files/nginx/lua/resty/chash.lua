-- Rendezvous hashing for balancer/chash.lua: the node whose hash with the key is largest.
local M = {}
M.__index = M

function M.new(_, nodes)
  return setmetatable({ nodes = nodes }, M)
end

function M.reinit(self, nodes)
  self.nodes = nodes
end

function M.find(self, key)
  local best, largest
  for id in pairs(self.nodes) do
    local hash = ngx.crc32_long(id .. tostring(key))
    if not largest or hash > largest then
      best, largest = id, hash
    end
  end
  return best
end

return M
