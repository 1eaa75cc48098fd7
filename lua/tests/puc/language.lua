local function show(v) local t=type(v) if t=='table' or t=='function' or t=='thread' or t=='userdata' then return t end return t..':'..tostring(v) end
local function p(...) local r={} for i=1,select('#',...) do r[i]=show((select(i,...))) end print(table.concat(r,' ')) end
-- closures
local fs={} for i=1,5 do local j=i*2 fs[i]=function() j=j+1 i=i+1 return i,j end end
p(fs[1]()) p(fs[1]()) p(fs[2]()) p(fs[5]())
local k=1 local ws={} while k<4 do local z=k ws[k]=function() z=z+10 return z end k=k+1 if k==3 then break end end
p(ws[1](),ws[1](),ws[2]())
local rs={} local q=0 repeat local w=q rs[#rs+1]=function() w=w+1 return w end q=q+1 until w>=2
p(#rs, rs[1](),rs[2](),rs[3](),rs[1]())
-- varargs
local function va(a,...) local x,y=... return select('#',...),a,x,y,... end
p(va()) p(va(1)) p(va(1,2)) p(va(1,2,3,4))
local function oldarg(a,...) return arg.n,arg[1],arg[2],#arg end
p(oldarg(1,2,3)) p(oldarg())
p((va(1,2,3)))
p({va(1,2)}, #{va(1,2)}, #{va(1,2),9})
-- and/or
local function f() return nil end
p(1 and 2, nil and 1, false or 3, nil or false, 1 or error('x'), not nil, not 0, f() and 1 or 2, f() or 'd')
local a=5 local b=(a>3 and 'big') or 'small' p(b, a==5, a~=5, a<=5, a>=6, not(a<3), (a<3)==false)
local t={x=1,['y']=2,[3]=3,4,5,[10]=6;7} p(#t,t.x,t.y,t[3],t[1],t[10])
-- multiple assignment
local i=1 local arr={} i,arr[i]=i+1,20 p(i,arr[1],arr[2])
local x1,x2,x3=1,2 p(x1,x2,x3) x1,x2=x2,x1 p(x1,x2)
do local a={1,2,3} local i=1 i,a[i],a[i+1]=2,'a','b' p(i,a[1],a[2],a[3]) end
-- numeric for
for i=3,1,-1 do io=i end p(io) for i=1,3 do local j=i i=10 p(j) end
for i=0.1,0.5,0.1 do p(i) end
for i=1,'3' do p(i) end
-- strings
p(('x'):rep(3),('abc'):upper():lower():len(),#'a\0b',"a\
b",'\065\10\"',[[
long]],[==[a]]b]==])
p(1e3,0xA,.5e1,3e-2,1e308*10,-1e308*10)
p(10/3,7%-3,-7%3,2^0.5,2^10,-2^2,1/0,-1/0,5%math.huge,-5%math.huge,5.3%-2)
p(0/0,-(0/0),math.sqrt(-1),tonumber('nan'),tonumber('-nan'),math.huge-math.huge,math.fmod(1,0),math.log(-1),math.acos(2))
p(math.floor(-0.5),math.ceil(-0.5),math.max(1,2,'3'),math.modf(3.7),math.modf(-3.7),math.modf(1/0),math.frexp(10),math.ldexp(0.5,4))
p(math.sin(1),math.cos(1),math.tan(1),math.exp(1),math.log(10),math.log10(2),math.atan2(1,2),math.sinh(1),math.deg(1),math.rad(90),math.pow(2,.5))
p(tostring(1e15),tostring(123456789012),2^31,2^53+1,1e14+0.5,1e-7,123.456,-0.0)
p(string.format('%5.1f|%-5d|%05d|%+d|% d|%x|%X|%#x|%o|%c%c|%e|%E|%g|%G|%s|%q',3.14159,42,42,42,42,255,255,255,8,72,105,1234.5,1234.5,1e20,1e-10,'s','a\nb"c\\\0\r'))
p(string.format('%10s|%-10s|%.2s|%5.1s|%s','abc','abc','abc','abc',12),string.format('%d',-1),string.format('%x',-1),string.format('%u',-1))
p(pcall(string.format,'%',1)) p(pcall(string.format,'%10')) p(pcall(string.format,'%-+ #0-d',1)) p(pcall(string.format,'%123d',1)) p(pcall(string.format,'%d',{}))
p(string.byte('abc',-1),string.byte('abc',10),string.byte('abc',0),string.byte(''),('abc'):byte(1,3))
p(('hello'):sub(2),('hello'):sub(-3,-2),('hello'):sub(0),('hello'):sub(10),('hello'):sub(-100,2),('hello'):sub(3,1))
p(('hello world'):find('o w'),('hello'):find('l+'),('hello'):find('xyz'),('a+b'):find('+',1,true),('abc'):find('',10),('abc'):find('',4),('abc'):find('b',-1))
p(('key = value'):match('^(%w+)%s*=%s*(%w+)$'),('2024-01-02'):match('(%d+)-(%d+)'),('abc'):match('.-'),('abc'):match('(a)(b)(c)'),('x'):match('()'))
p(('THE (quick) fox'):find('%((%a+)%)'),('f(a(b)c)d'):match('%b()'),('THE END'):gsub('%u+',string.lower),('abc'):gsub('.',{a='1',c=false}))
p(pcall(string.gsub,'abc','.',{a={}})) p(pcall(string.gsub,'abc','(','x')) p(pcall(string.gsub,'abc','%')) p(pcall(string.find,'a','[a')) p(pcall(string.find,'a','%f')) p(pcall(string.match,'a','%1')) p(pcall(string.rep)) p(pcall(string.gsub,'abc','a)','x'))
p(('abc'):gsub('','-'),('abc'):gsub('b*','x'),('hello'):gsub('l','L',1),('abc'):gsub('%w','%0%0'),('a b'):gsub('^a','x'),('aaa'):gsub('^a','b'))
for w,n in ('one=1, two=2'):gmatch('(%w+)=(%w+)') do p(w,n) end
for w in ('abc'):gmatch('') do p(w) end
p(('%d'):gsub('%%d','%%s'),('x^y'):gsub('%^','**'),('a.b'):gsub('%.','%%'))
-- tables
local t={} for i=1,10 do t[i]=i end p(#t,table.concat(t,','),table.remove(t),table.remove(t,1),#t) table.insert(t,'e') table.insert(t,1,'s') p(table.concat(t,' '))
p(pcall(table.insert,t)) p(pcall(table.insert,t,1,2,3)) p(pcall(table.concat,{1,{}},',')) p(table.maxn{1,2,[10]=3,[2.5]=1},table.getn{1,2})
local cnt=0 local t2={} for i=1,100 do t2[i]=(i*37)%101 end table.sort(t2,function(a,b) cnt=cnt+1 return a<b end) p(cnt,t2[1],t2[50],t2[100])
cnt=0 p(pcall(table.sort,{3,1,2,5,4,9,8,7},function(a,b) cnt=cnt+1 return true end)) p(cnt)
cnt=0 p(pcall(table.sort,{3,1,2,5,4,9,8,7},function(a,b) cnt=cnt+1 return nil end)) p(cnt)
p(pcall(table.sort,{1,'a',2})) p(pcall(table.sort,{{},{}})) p(pcall(table.sort,{1,2,3},function(a,b) error('in sort') end))
-- pairs order
local o={} for i=1,30 do o['key'..i]=i end for i=1,30,3 do o['key'..i]=nil end for i=100,120 do o[i]=i end for i=1,5 do o[i*1.5]=i end o[true]=1 o[false]=2
local s={} for k,v in pairs(o) do s[#s+1]=tostring(k) end p(table.concat(s,' '))
local u={} for i=20,1,-1 do u[i]=i end s={} for k in pairs(u) do s[#s+1]=k end p(table.concat(s,' ')) p(#u)
local h={1,2,3,nil,5,nil,nil,8} p(#h) h[9]=1 p(#h) h[4]=4 p(#h) local h2={n=1,1,2,nil} p(#h2) h2[4]=1 p(#h2)
for _,n in ipairs{1,2,3,5,8,9,16,17,31,33} do local z={} for i=1,n do z[i]=i end for i=1,n,2 do z[i]=nil end local c={} for k in pairs(z) do c[#c+1]=k end p(n,#z,table.concat(c,',')) end
s={} for k,v in pairs({10,20,30,a=1,b=2,c=3,d=4,[1.5]=5,[-1]=6,[0]=7,[100]=8}) do s[#s+1]=tostring(k) end p(table.concat(s,' '))
local m={} for i=1,50 do m[i%7 ..'_'..i]=i if i%3==0 then m[i%7 ..'_'..i]=nil end end s={} for k in pairs(m) do s[#s+1]=k end p(table.concat(s,' '))
-- next while clearing
for k in pairs(m) do m[k]=nil end p(next(m))
p(pcall(next,{},'nokey'))
-- metatables
local mt={} mt.__index=function(t,k) return k..'?' end mt.__newindex=function(t,k,v) rawset(t,k,v..'!') end mt.__call=function(self,...) return select('#',...),... end
mt.__add=function(a,b) return 'add' end mt.__concat=function(a,b) return (type(a)=='table' and 'T' or a)..(type(b)=='table' and 'T' or b) end mt.__unm=function() return 'unm' end mt.__lt=function(a,b) return true end mt.__eq=function() return true end mt.__tostring=function() return 'TS' end mt.__mod=function() return 'mod' end mt.__pow=function() return 'pow' end mt.__div=function() return 'div' end mt.__sub=function() return 'sub' end mt.__mul=function() return 'mul' end
local O=setmetatable({},mt) local O2=setmetatable({},mt) p(O.foo,O(1,2,3),O+1,1+O,O..'x','x'..O,1 ..O,'a'..'b'..O..'c'..'d',-O,O<O2,O<=O2,O>O2,O==O2,O~=O2,tostring(O),O%1,O^2,O/1,O-1,O*1) O.z='v' p(rawget(O,'z'))
p(pcall(function() return O<1 end)) p(pcall(function() return {}<{} end)) p(pcall(function() return setmetatable({},{__index=O}).q end)) p(pcall(function() return O.x.y.z end))
local chain=setmetatable({},{__index=setmetatable({a=1},{__index=setmetatable({b=2},{__index=function(_,k) return k end})})}) p(chain.a,chain.b,chain.c)
local loop={} setmetatable(loop,{__index=loop}) p(pcall(function() return loop.x end)) p(pcall(function() loop.__newindex=loop getmetatable(loop).__newindex=loop loop.y=1 end))
p(getmetatable('').__index==string,getmetatable(setmetatable({},{__metatable='m'})),pcall(setmetatable,setmetatable({},{__metatable=1}),{}))
-- errors
p(pcall(error)) p(pcall(error,nil)) p(pcall(error,'m',0)) p(pcall(error,{1})) p(pcall(error,'m',1)) p(pcall(error,'m',2)) p(select('#',pcall(error)))
local function lvl(n) error('lv',n) end p(pcall(lvl,1)) p(pcall(lvl,2)) p(pcall(function() lvl(1) end)) p(pcall(function() lvl(2) end)) p(pcall(function() lvl(3) end))
p(pcall(function() local x={} x.y.z=1 end)) p(pcall(function() local x=1 x() end)) p(pcall(function() undefd.x=1 end)) p(pcall(function() return #undefd end)) p(pcall(function() return undefd..'x' end)) p(pcall(function() return {}..'x' end)) p(pcall(function() local t={} t.a.b.c=1 end)) p(pcall(function() local t={} t[nil]=1 end)) p(pcall(function() return 1+{} end)) p(pcall(function() local s='x' return s+1 end)) p(pcall(function() return a.b.c end)) p(pcall(function() string.foo() end)) p(pcall(function() ('x'):foo() end)) p(pcall(function() return math.floor{} end)) p(pcall(function() local t=setmetatable({},{__call=1}) t() end)) p(pcall(function() return -{} end)) p(pcall(function() return 2^{} end)) p(pcall(function() return {}<1 end)) p(pcall(function() return 'a'<1 end)) p(pcall(function() return nil<nil end)) p(pcall(function() fs[1].x.y=1 end)) p(pcall(function() t[1][1][1]=2 end)) p(pcall(function() return t.x.y end))
p(xpcall(function() error('E') end,function(m) return m..'H' end)) p(xpcall(function() return 1,2,3 end,print)) p(xpcall(error,function(m) return tostring(m)..'X' end))
p(pcall(pcall)) p(pcall(pcall,error,'x')) p(pcall(xpcall)) p(pcall(nil)) p(pcall(1)) p(pcall(pcall,nil))
p(select(-2,1,2,3),select(2,'a','b','c')) p(pcall(select,-5,1)) p(pcall(select,0)) p(unpack({1,2,3})) p(unpack({1,2},2,4)) p(pcall(unpack,{},1,1e7))
p(tonumber('0x'),tonumber('1e1'),tonumber(' 10 '),tonumber('10a'),tonumber('z',36),tonumber('7',8),tonumber('8',8),tonumber('-ff',16),tonumber('1.5',10),tonumber(nil),tonumber(true),tonumber('0b1',2)) p(pcall(tonumber)) p(pcall(tonumber,'1',1)) p(pcall(tonumber,{},10)) p(pcall(tonumber,{},16))
p(rawequal('a','a'),rawequal({},{}),rawget({5},1),type(nil),pcall(type)) p(pcall(ipairs)) p(pcall(setmetatable,1,2)) p(pcall(setmetatable,{})) p(pcall(setmetatable,{},1)) p(pcall(getfenv,-1)) p(pcall(getfenv,100)) p(pcall(setfenv,print,{}))
-- coroutines
local co=coroutine.create(function(a,b) p('in',a,b) local c=coroutine.yield(a+b) p('got',c) local d,e=coroutine.yield(c*2) p('got',d,e) return 'end',1 end)
p(coroutine.resume(co,1,2)) p(coroutine.status(co)) p(coroutine.resume(co,10)) p(coroutine.resume(co,'x','y')) p(coroutine.resume(co)) p(coroutine.status(co))
local gen=coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) p(gen(),gen(),gen(),gen()) p(pcall(gen))
p(pcall(coroutine.wrap(function() error('ce') end))) p(pcall(coroutine.wrap(function() error({}) end))) p(coroutine.resume(coroutine.create(function() local x=nil; x.y=1 end)))
p(coroutine.running(),coroutine.resume(coroutine.create(function() return type(coroutine.running()) end))) p(pcall(coroutine.yield,1)) p(pcall(coroutine.resume,1)) p(pcall(coroutine.create,print)) p(pcall(coroutine.status))
local c2 c2=coroutine.create(function() p(coroutine.resume(c2)) p(coroutine.status(c2)) end) coroutine.resume(c2)
local c3=coroutine.wrap(function() for k in coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) do coroutine.yield(k*10) end return 'done' end) p(c3(),c3(),c3(),c3())
p(coroutine.resume(coroutine.create(function() return pcall(coroutine.yield,1) end))) p(coroutine.resume(coroutine.create(function() table.sort({1,2,3},function(a,b) coroutine.yield() end) end))) p(coroutine.resume(coroutine.create(function() return setmetatable({},{__index=function() coroutine.yield() end}).x end)))
local up=0 local cu=coroutine.wrap(function() local l=0 inc=function() l=l+1 up=up+1 return l,up end coroutine.yield() p(l) end) cu() p(inc()) p(inc()) cu()
-- deep recursion
local function deep(n) if n==0 then return 0 end return 1+deep(n-1) end p(deep(10000)) p(pcall(deep,1e6)) local function dp(n) return select(2,pcall(dp,n+1)) end p(dp(1))
local function tm() return setmetatable({},{__index=function(t,k) return tm()[k] end}) end p(pcall(function() return tm().x end))
p(pcall(string.rep,'x',-1)) p(loadstring('return ...','c')(5)) p(loadstring('syntax error here')) p(loadstring("x='unfinished")) p(loadstring('x=[[unf')) p(loadstring('x=[=[ ]]')) p(loadstring('--[[ unf')) p(loadstring("x='\\300'")) p(loadstring('for i=1 do end')) p(loadstring('if x then')) p(loadstring('if x then\n\nelse\n')) p(loadstring('local function end')) p(loadstring('return return')) p(loadstring('break')) p(loadstring('f()\n(g)()')) p(loadstring('x=}')) p(loadstring('a.b:c=1')) p(loadstring('local a,1')) p(loadstring('return ... + function() return ... end')) p(loadstring('x = 1e')) p(loadstring('x=3x')) p(loadstring('x=\1')) p(loadstring('goto x')) p(loadstring('x=1 y=2 return x+y')()) p(loadstring('a=b=c')) p(loadstring('1=2')) p(loadstring('(a)=1')) p(loadstring('f()=1')) p(loadstring('local x = [==x')) p(loadstring('x="a\nb"')) p(loadstring('return "\\')) p(loadstring(('('):rep(300)..'1'..(')'):rep(300),'=deep')) p(loadstring('local '..('a,'):rep(250)..'a','=locals'))
p(load(function() return nil end)) local parts={'return ','1','+2',nil} local pi=0 p(load(function() pi=pi+1 return parts[pi] end)()) p(pcall(load,1))
local env={} local fn=loadstring('x=1 y=2 return x') setfenv(fn,env) p(fn(),env.x,env.y,x) p(getfenv(fn)==env,getfenv(1)==_G)
local weak=setmetatable({},{__mode='k'}) weak[{}]=1 weak.s=2 collectgarbage() local n=0 for k in pairs(weak) do n=n+1 end p(n) local wv=setmetatable({},{__mode='v'}) wv[1]={} wv[2]='str' collectgarbage() p(wv[1],wv[2])
p(type(newproxy()),getmetatable(newproxy(true))~=nil,pcall(newproxy,1)) p(type(collectgarbage('count')),pcall(collectgarbage,'x')) p(_VERSION,type(_G),_G._G==_G,gcinfo()>0)
table.foreach({1,2,x=3},function(k,v) p(k,v) end) p(table.foreachi({1,2,3},function(i,v) if i==2 then return v*10 end end)) p(pcall(table.setn,{},1)) p(string.reverse('abc'),pcall(string.char,256),string.char())
p(('x'):rep(200):len(),string.format('%s',('y'):rep(150)):len(),pcall(string.format,'%200s','a'))
