-- Weighted round robin for balancer/round_robin.lua: a node stands in the ring as often as it weighs.
local M = {}
M.__index = M

local function ring(nodes)
  local ids = {}
  for id, weight in pairs(nodes) do
    for _ = 1, weight do
      ids[#ids + 1] = id
    end
  end
  table.sort(ids)
  return ids
end

function M.new(_, nodes)
  return setmetatable({ nodes = nodes, ids = ring(nodes), at = 0 }, M)
end

function M.reinit(self, nodes)
  self.nodes, self.ids, self.at = nodes, ring(nodes), 0
end

function M.find(self)
  if #self.ids == 0 then
    return nil
  end
  self.at = self.at % #self.ids + 1
  return self.ids[self.at]
end

return M
