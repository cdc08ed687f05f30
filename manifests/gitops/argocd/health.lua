-- Health of a StreamingEndpoint for Argo CD, from its conditions (docs/conditions.md).
local function condition(type)
  for _, entry in ipairs((obj.status or {}).conditions or {}) do
    if entry.type == type then
      return entry
    end
  end
  return {}
end

local ready, stalled = condition("Ready"), condition("Stalled")
if obj.spec ~= nil and obj.spec.suspend == true then
  return { status = "Suspended", message = "spec.suspend is true: no child is written, no probe runs" }
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to read the spec" }
end
if stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end
if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
if ready.reason == "ScaledToZero" then
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = ready.message or "Waiting for the operator" }
