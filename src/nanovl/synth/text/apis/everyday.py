"""Functions of everyday life, ten domains. Data only.

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

from nanovl.synth.text.apis.function import Function, functions

__all__ = ["EVERYDAY"]

EVERYDAY: dict[str, tuple[Function, ...]] = {
    "weather": functions(
        ("weather_current", "Get the current weather of a city.",
         "city:city; unit:one(celsius|fahrenheit)=celsius~in degrees {}",
         "read temperature=-10..34 sky=sunny|cloudy|rain|snow|fog humidity=20..99",
         "tell me the weather in {city} right now / look up the current weather for {city} / "
         "check how the weather is in {city}"),
        ("weather_forecast", "Get the weather forecast of a city for a date.",
         "city:city; date:date",
         "read high=2..36 low=-12..18 rain_percent=0..100",
         "get the forecast for {city} on {date} / find out what the weather in {city} will be on "
         "{date} / check the forecast of {city} for {date}"),
        ("air_quality", "Get the air quality index of a city.",
         "city:city", "read index=5..180 main_pollutant=ozone|dust|nitrogen_dioxide",
         "check the air quality in {city} / tell me how clean the air in {city} is / look up the "
         "air quality index of {city}"),
        ("sun_times", "Get sunrise and sunset of a city on a date.",
         "city:city; date:date", "read sunrise_hour=4..8 sunset_hour=16..22",
         "find the times of sunrise and sunset in {city} on {date} / tell me when the sun rises "
         "and sets in {city} on {date} / look up sunrise and sunset for {city} on {date}"),
        ("weather_alert_create", "Set up a weather alert for a city.",
         "city:city; event:one(storm|frost|heat|flood); "
         "contact:email=~and send it to {}",
         "make WA",
         "warn me of {event} in {city} / set up an alert for {event} in {city} / create a "
         "{event} alert for {city}"),
        ("weather_alert_delete", "Delete a weather alert.",
         "alert_id:id(WA)", "change WA",
         "delete alert {alert_id} / remove the weather alert {alert_id} / turn off alert "
         "{alert_id}"),
    ),
    "travel": functions(
        ("flight_search", "Search flights between two cities.",
         "origin:city; destination:city; date:date; "
         "cabin:one(economy|business)=economy~in {} class",
         "find FL price=60..900 departure_hour=5..22 stops=0..2",
         "search flights from {origin} to {destination} on {date} / find a flight from {origin} to "
         "{destination} on {date} / look for flights on {date} from {origin} to {destination}"),
        ("flight_book", "Book a flight for a passenger.",
         "flight_id:id(FL); passenger:person", "make BK",
         "book {flight_id} for {passenger} / reserve {flight_id} for {passenger} / get "
         "{passenger} a seat on {flight_id}"),
        ("flight_status", "Get the status of a flight.",
         "flight_id:id(FL)", "read status=on_time|delayed|boarding|landed delay_minutes=0..90",
         "check the status of {flight_id} / tell me whether {flight_id} is on time / look up "
         "{flight_id}"),
        ("train_search", "Search train connections.",
         "origin:city; destination:city; date:date; after:time=06:00~leaving after {}",
         "find TR price=9..140 departure_hour=5..22 changes=0..3",
         "find trains from {origin} to {destination} on {date} / look for a train from {origin} "
         "to {destination} on {date} / search train connections from {origin} to {destination} on "
         "{date}"),
        ("hotel_search", "Search hotels in a city.",
         "city:city; check_in:date; nights:1..9; guests:1..5=2~for {} guests",
         "find HT price=45..380 stars=2..5 rating=60..99",
         "find hotels in {city} from {check_in} for {nights} nights / search a hotel in {city}, "
         "arriving {check_in}, {nights} nights / look for a place to stay in {city} from "
         "{check_in} for {nights} nights"),
        ("hotel_book", "Book a hotel room.",
         "hotel_id:id(HT); guest:person", "make RS",
         "book {hotel_id} for {guest} / reserve {hotel_id} in the name of {guest} / get {guest} a "
         "room at {hotel_id}"),
    ),
    "maps": functions(
        ("route_plan", "Plan a route between two places.",
         "start:city; end:city; mode:one(car|bicycle|walking|transit)=car~by {}",
         "read distance_km=3..420 minutes=5..380",
         "plan a route from {start} to {end} / find the way from {start} to {end} / show me how "
         "to get from {start} to {end}"),
        ("distance_between", "Get the distance between two cities.",
         "first:city; second:city", "read distance_km=10..900",
         "tell me how far {first} is from {second} / get the distance between {first} and "
         "{second} / measure the distance from {first} to {second}"),
        ("place_search", "Search places of a kind near a city.",
         "category:one(museum|park|pharmacy|bakery|library|cinema); city:city; "
         "radius_km:1..20=5~within {} kilometres",
         "find PL distance_m=100..5000 rating=50..99",
         "find a {category} near {city} / search for a {category} in {city} / look for a "
         "{category} around {city}"),
        ("place_details", "Get details of a place.",
         "place_id:id(PL)", "read opens=7..11 closes=16..23 phone_extension=100..999",
         "show the details of {place_id} / tell me more about {place_id} / get the opening hours "
         "of {place_id}"),
        ("traffic_report", "Get the traffic situation of a city.",
         "city:city", "read level=light|moderate|heavy delay_minutes=0..50",
         "check the traffic in {city} / tell me how the traffic in {city} is / report the traffic "
         "around {city}"),
        ("parking_search", "Search parking near an address.",
         "address:address", "find PK price_per_hour=1..6 free_spaces=0..90",
         "find parking near {address} / look for a parking space close to {address} / search "
         "parking at {address}"),
    ),
    "shopping": functions(
        ("product_search", "Search products in the shop.",
         "query:product; max_price:10..200=500~for at most {} euros",
         "find PR price=5..300 rating=40..99",
         "search the shop for a {query} / find a {query} in the shop / look for a {query}"),
        ("cart_add", "Add a product to the cart.",
         "product_id:id(PR); quantity:1..9=1~{} times", "make CA",
         "add {product_id} to my cart / put {product_id} into the cart / place {product_id} in my "
         "shopping cart"),
        ("order_status", "Get the status of an order.",
         "order_id:id(OR)", "read status=packed|shipped|delivered|waiting days_left=0..9",
         "check the status of order {order_id} / tell me where order {order_id} is / track order "
         "{order_id}"),
        ("order_cancel", "Cancel an order.",
         "order_id:id(OR); reason:one(too_late|wrong_item|not_needed)=not_needed~with reason {}",
         "change OR",
         "cancel order {order_id} / call off order {order_id} / stop order {order_id}"),
        ("price_compare", "Compare the prices of a product.",
         "product:product", "read lowest=5..90 highest=100..300 shops=2..14",
         "compare prices for a {product} / find out what a {product} costs in different shops / "
         "check the prices of a {product}"),
        ("shopping_list_add", "Add things to the shopping list.",
         "items:products", "make SL",
         "put {items} on my shopping list / add {items} to the shopping list / note {items} on "
         "the list for shopping"),
    ),
    "food": functions(
        ("restaurant_search", "Search restaurants by cuisine.",
         "city:city; cuisine:cuisine; price:one(low|medium|high)=medium~with {} prices",
         "find RE rating=50..99 distance_m=100..4000",
         "find a {cuisine} restaurant in {city} / search for {cuisine} food in {city} / look for "
         "a place with {cuisine} dishes in {city}"),
        ("table_reserve", "Reserve a table in a restaurant.",
         "restaurant_id:id(RE); date:date; time:time; guests:2..12", "make TB",
         "reserve a table at {restaurant_id} on {date} at {time} for {guests} people / book "
         "{restaurant_id} for {guests} people on {date} at {time} / get a table for {guests} at "
         "{restaurant_id}, {date}, {time}"),
        ("recipe_search", "Search recipes for a dish.",
         "dish:dish; diet:one(any|vegetarian|vegan)=any~that is {}",
         "find RC minutes=10..120 servings=2..8",
         "find a recipe for {dish} / look up how to make {dish} / search recipes for {dish}"),
        ("recipe_scale", "Scale a recipe to a number of servings.",
         "recipe_id:id(RC); servings:1..20", "make RX",
         "scale {recipe_id} to {servings} servings / adapt {recipe_id} for {servings} people / "
         "work out {recipe_id} for {servings} servings"),
        ("nutrition_info", "Get the nutrition facts of a dish.",
         "dish:dish; grams:50..500=100~per {} grams",
         "read kcal=60..620 protein_g=1..40 fat_g=0..35",
         "get the nutrition facts of {dish} / tell me how many calories {dish} has / look up the "
         "nutrients in {dish}"),
        ("meal_plan_create", "Create a meal plan.",
         "days:2..7; people:1..6; diet:one(any|vegetarian|vegan)=any~that is {}", "make MP",
         "make a meal plan for {people} people and {days} days / plan meals for {days} days and "
         "{people} people / create a {days}-day meal plan for {people}"),
    ),
    "home": functions(
        ("device_switch", "Switch a device on or off.",
         "device:device; room:room; on:flag", "make DV",
         "switch the {device} in the {room} {on} / turn {on} the {device} in the {room} / set the "
         "{device} of the {room} to {on}"),
        ("temperature_set", "Set the temperature of a room.",
         "room:room; degrees:15..26", "make TP",
         "set the {room} to {degrees} degrees / heat the {room} to {degrees} degrees / make it "
         "{degrees} degrees in the {room}"),
        ("temperature_read", "Read the temperature of a room.",
         "room:room", "read degrees=14..28",
         "tell me how warm the {room} is / read the temperature in the {room} / check how many "
         "degrees the {room} has"),
        ("light_dim", "Dim the light of a room.",
         "room:room; percent:5..100", "make LT",
         "dim the light in the {room} to {percent} percent / set the {room} light to {percent} "
         "percent / bring the brightness in the {room} to {percent} percent"),
        ("scene_start", "Start a lighting scene.",
         "scene:one(evening|reading|party|night); fade_seconds:1..60=5~over {} seconds", "make SC",
         "start the {scene} scene / activate the {scene} scene / switch to the {scene} scene"),
        ("energy_use", "Get the energy used on a date.",
         "date:date", "read kwh=3..40",
         "tell me how much energy we used on {date} / get the energy consumption of {date} / look "
         "up the energy use on {date}"),
    ),
    "media": functions(
        ("song_play", "Play a song.",
         "title:song; artist:artist=~by {}", "make MU",
         "play {title} / put on {title} / start the song {title}"),
        ("playlist_create", "Create a playlist.",
         "name:topic; public:flag=false~with public sharing {}", "make LS",
         "create a playlist called {name} / make a playlist named {name} / start a new playlist "
         "{name}"),
        ("film_search", "Search films by title.",
         "title:film", "find FI year=1960..2026 minutes=70..190",
         "search for the film {title} / find the film {title} / look up {title} among the films"),
        ("film_rate", "Rate a film.",
         "film_id:id(FI); stars:1..5", "change FI",
         "give {film_id} {stars} stars / rate {film_id} with {stars} stars / set my rating of "
         "{film_id} to {stars} stars"),
        ("podcast_search", "Search podcasts on a topic.",
         "topic:subject; language:language=English~in {}",
         "find PC episodes=5..300 rating=50..99",
         "find a podcast about {topic} / search podcasts on {topic} / look for podcasts dealing "
         "with {topic}"),
        ("volume_set", "Set the volume of the speakers.",
         "level:0..100; room:room=living room~in the {}", "make VO",
         "set the volume to {level} / change the volume to {level} / put the speakers at {level}"),
    ),
    "health": functions(
        ("doctor_search", "Search doctors of a field in a city.",
         "city:city; field:one(general|dentist|eye|skin|children)",
         "find DR rating=50..99 wait_days=0..40",
         "find a doctor ({field}) in {city} / search for a {field} doctor in {city} / look for "
         "{field} doctors in {city}"),
        ("appointment_book", "Book an appointment with a doctor.",
         "doctor_id:id(DR); date:date; time:time", "make AP",
         "book an appointment with {doctor_id} on {date} at {time} / get me a visit to "
         "{doctor_id} on {date} at {time} / make an appointment with {doctor_id} for {date}, "
         "{time}"),
        ("bmi_compute", "Compute the body mass index.",
         "weight_kg:45..120; height_cm:150..205", "compute bmi",
         "compute the body mass index for {weight_kg} kg and {height_cm} cm / work out the BMI of "
         "someone with {weight_kg} kg at {height_cm} cm / calculate the BMI: {weight_kg} kg, "
         "{height_cm} cm"),
        ("medicine_info", "Get information on a medicine.",
         "medicine:medicine", "read hours_between=4..12 most_per_day=1..6",
         "look up {medicine} / tell me how often {medicine} may be taken / get information on "
         "{medicine}"),
        ("medicine_remind", "Set a reminder to take a medicine.",
         "medicine:medicine; time:time; days:1..30=7~for {} days", "make RM",
         "remind me to take {medicine} at {time} / set a reminder for {medicine} at {time} / "
         "alert me at {time} to take {medicine}"),
        ("workout_log", "Log a workout.",
         "sport:sport; minutes:10..120; date:date", "make WO",
         "log {minutes} minutes of {sport} on {date} / note that I did {minutes} minutes of "
         "{sport} on {date} / record a workout: {sport}, {minutes} minutes, {date}"),
    ),
    "sports": functions(
        ("match_result", "Get the result of a match.",
         "team:team; date:date", "read goals=0..6 goals_against=0..6",
         "tell me how {team} played on {date} / get the result of {team} on {date} / look up the "
         "match of {team} on {date}"),
        ("league_table", "Get the table of a league.",
         "sport:sport; season:2015..2026", "read leader_points=30..90 teams=8..20",
         "show the {sport} table of {season} / get the league table for {sport}, season {season} "
         "/ look up the {sport} standings of {season}"),
        ("match_search", "Search coming matches of a team.",
         "team:team", "find MA days_ahead=1..40 price=8..90",
         "find the next matches of {team} / search coming matches of {team} / look for games of "
         "{team}"),
        ("ticket_buy", "Buy tickets for a match.",
         "match_id:id(MA); count:1..6", "make TK",
         "buy {count} tickets for {match_id} / get {count} tickets to {match_id} / order {count} "
         "tickets for {match_id}"),
        ("player_stats", "Get the statistics of a player.",
         "player:person; season:2015..2026", "read games=4..38 points=0..60",
         "show the statistics of {player} for {season} / look up how {player} did in {season} / "
         "get the numbers of {player} in {season}"),
        ("court_reserve", "Reserve a sports court.",
         "sport:sport; date:date; time:time", "make CO",
         "reserve a court for {sport} on {date} at {time} / book a {sport} court, {date}, {time} "
         "/ get us a place for {sport} on {date} at {time}"),
    ),
    "garden": functions(
        ("plant_care", "Get care instructions of a plant.",
         "plant:plant", "read water_days=1..9 light=full_sun|half_shade|shade",
         "tell me how to care for {plant} / look up the care of {plant} / get instructions for "
         "{plant}"),
        ("watering_set", "Schedule watering.",
         "plant:plant; time:time; minutes:1..30=5~for {} minutes", "make WT",
         "water the {plant} every day at {time} / schedule watering of the {plant} at {time} / "
         "set the sprinkler for the {plant} to {time}"),
        ("soil_moisture", "Read the soil moisture of a bed.",
         "bed:1..9", "read percent=5..95",
         "read the soil moisture of bed {bed} / check how wet bed {bed} is / tell me the moisture "
         "in bed {bed}"),
        ("seed_search", "Search seeds in the catalogue.",
         "plant:plant; organic:flag=false~with the organic filter {}",
         "find SE price=1..9 germination_percent=60..99",
         "find seeds for {plant} / search the catalogue for {plant} seeds / look for {plant} "
         "seeds"),
        ("seed_order", "Order seeds.",
         "seed_id:id(SE); packets:1..9", "make SO",
         "order {packets} packets of {seed_id} / buy {packets} packets of {seed_id} / get me "
         "{packets} packets of {seed_id}"),
        ("harvest_log", "Log a harvest.",
         "plant:plant; kilograms:0.5..20:0.5; date:date", "make HV",
         "log a harvest of {kilograms} kg {plant} on {date} / note {kilograms} kg of {plant}, "
         "picked on {date} / record the harvest of {date}: {kilograms} kg {plant}"),
    ),
}  # fmt: skip
